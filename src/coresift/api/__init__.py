"""The verbs: each opens its input, wires a method to the engine and writes the result."""
