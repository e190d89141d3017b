"""The rows of the option table, by what they are about. Values alone; ``config.options`` looks things up in them."""
