"""The pages: their files, and the headers sent with them."""
