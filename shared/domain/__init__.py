"""The pure core: it takes facts and returns decisions as data, and knows no Azure, HTTP, environment or clock."""
