"""The language of inis: text, and what it draws in, to the rows that count. Pure."""
