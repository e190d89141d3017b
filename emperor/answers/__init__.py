"""What the control socket's verbs do: the right-hand side of ``control.messages.VERBS``."""
