"""The program: composition, configuration, command line, HTTP. Only it knows all the layers."""

__version__ = "0.1.0"
