"""Random histories of the whole product: three workers, trouble with Microsoft and storage, and days that pass."""
