"""SyGuS-IF: its terms, sorts and grammars, how they are written, and what they mean."""
