"""What a person sees of a clustering or a selection: the figures of a report, and its forms."""
