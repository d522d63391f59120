"""Methods that choose rows, one file each, and the blocks they are composed of."""
