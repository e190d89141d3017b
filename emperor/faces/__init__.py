"""Configurations of web servers, made of a vassal's spec: facts first, then the text of each server. Pure."""
