"""The pages: their files, and the headers that they go out with."""
