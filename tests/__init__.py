"""The proof of what Holdfast promises; the tree mirrors the product's."""
