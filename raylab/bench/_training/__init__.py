"""What `raylab bench training` is made of: the cases, and transformers' Trainer as it is fastest."""
