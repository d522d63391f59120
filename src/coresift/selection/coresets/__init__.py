"""The constructions of weighted coresets."""
