"""What several tests share: builders of facts and readers of stores, no rules of the product."""
