"""The program: composition, configuration, command line, HTTP. It alone knows them all."""

__version__ = "0.1.0"
