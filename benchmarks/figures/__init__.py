"""The figures: each module measures one and yields readings."""
