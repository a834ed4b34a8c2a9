"""The page for people: one for both services, plain modules that a browser reads as they are.

`static/` is what it consists of, `assets` gives it out, `status` tells it how the service is, `seen` keeps
what the model saw for whoever asks.
"""
