"""For people: a page in the browser, or a terminal, fed as one more subscriber.

Runs in a process of its own, so that neither drawing nor a slow browser touches the engine.
"""
