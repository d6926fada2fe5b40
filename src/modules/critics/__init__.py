"""Critics: values that only the training of policy gradients sees."""
