"""What leaves kurabe: one model, in the forms that other programs run."""
