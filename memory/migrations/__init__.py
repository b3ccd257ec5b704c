"""How the tables of a memory came to be, one change after the other, for Alembic."""
