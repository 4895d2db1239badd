"""Which tokens intermediate pretraining hides: the policies, and how a hidden passage becomes model input."""
