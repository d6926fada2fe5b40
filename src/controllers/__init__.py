"""How agents act: inputs, action choice, training passes."""
