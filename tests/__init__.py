"""The proof of Holdfast's promises; the tree mirrors the product's."""
