"""What a run would take, from short measurements of its parts on this machine and dump."""
