"""The control socket: what emperorctl and the emperor say to each other, and who may."""
