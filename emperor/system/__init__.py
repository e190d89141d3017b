"""The I/O floor: one module for each thing the kernel offers. Policy lives above and below, never here."""
