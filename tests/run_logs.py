"""What a run log's database holds, read behind its back."""

import contextlib
import sqlite3

import sqlalchemy as sa


def rows(address, query):
    """Run a query on a run's own tables; give its rows."""
    address = str(address)
    if not address.startswith("postgresql"):
        with contextlib.closing(sqlite3.connect(address)) as connection:
            return connection.execute(query).fetchall()
    with on_server(address) as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


@contextlib.contextmanager
def on_server(address):
    """Give a connection to the database of a run, with the run's tables at hand."""
    place, _, run = address.rpartition("#")
    engine = sa.create_engine(place, poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(f'SET LOCAL search_path TO "induce_run_{run}"')
        yield connection
