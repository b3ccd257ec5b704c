"""From a handful of examples to a verified, readable program."""
