"""Meta-learned masking: a policy is better if a model that was pretrained under it answers held-out questions better."""
