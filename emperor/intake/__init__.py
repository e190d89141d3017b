"""From folders of inis to vassals: which have changed, what they say, whose the addresses are."""
