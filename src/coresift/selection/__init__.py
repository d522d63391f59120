"""Methods that choose rows: ``methods`` has one file each, the other folders what they share."""
