"""Where work on data runs: one ordered map over shards."""
