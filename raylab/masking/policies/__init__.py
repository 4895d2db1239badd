"""One file a masking policy; the file's name is the policy's."""
