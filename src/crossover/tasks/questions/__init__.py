"""Questions: about stories, by class, and about texts, by span."""
