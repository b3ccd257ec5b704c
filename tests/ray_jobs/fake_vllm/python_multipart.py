"""Comes with vLLM. FastAPI wants it where a route takes uploads, which none does here."""

__version__ = "0.0.20"
