"""Algorithms compiled into the weights of message-passing networks. Nothing is here yet."""
