"""Writes docs/ and conf/ from the tables of keys and commands."""
