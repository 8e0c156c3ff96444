"""What becomes due: renewals, collection, delivery, in batches through the same decisions as the verbs."""
