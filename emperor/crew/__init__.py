"""A vassal's workers: forked, counted, replaced, more and fewer."""
