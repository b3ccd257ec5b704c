"""Reading dates and times of day, and rounding them down."""

import re
from datetime import datetime, timedelta

MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()


def read_moment(text: str, day_first: bool = False) -> datetime:
    """The date and the time of day that a text names; what it leaves out is as on 1 January 1900, 0:00."""
    hour = minute = second = 0
    time = re.search(r"(\d{1,2}):(\d{2})(?::(\d{2}))?\s*([ap]m)?", text, re.IGNORECASE)
    time = time or re.search(r"\b(\d{1,2})()()\s*([ap]m)\b", text, re.IGNORECASE)
    if time:
        hour, minute, second = (int(part or 0) for part in time.groups()[:3])
        if time[4]:
            hour = hour % 12 + 12 * (time[4].lower() == "pm")
        text = text[: time.start()] + " " + text[time.end() :]
    words = [word[:3].lower() for word in re.findall("[A-Za-z]{3,}", text)]
    named = [MONTHS.index(word) + 1 for word in words if word in MONTHS]
    numbers = re.findall("[0-9]+", text)
    if len(numbers) == 1 and len(numbers[0]) == 8 and not named:
        numbers = [numbers[0][:2], numbers[0][2:4], numbers[0][4:]]
    years = [number for number in numbers if len(number) == 4] or numbers[2 - len(named) :]
    year = int(years[0]) if years else 1900
    rest = [int(number) for number in numbers if number not in years]
    if named:
        month, day = named[0], (rest or [1])[0]
    else:
        month, day, *_ = [*rest, 1, 1]
        if day_first or month > 12:
            month, day = day, month
    if not (time or numbers):
        raise ValueError(f"no moment in {text!r}")
    return datetime(year, month, day, hour, minute, second)


def floor_moment(moment: datetime, minutes: int) -> datetime:
    """The last moment, up to this one, that is so many minutes times a whole number after midnight."""
    midnight = moment.replace(hour=0, minute=0, second=0)
    step = timedelta(minutes=minutes)
    return midnight + (moment - midnight) // step * step
