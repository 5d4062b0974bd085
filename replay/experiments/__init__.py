"""The paper's experiments and others, each as a command: ``streamvdib reproduce NAME``."""
