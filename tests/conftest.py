"""What all tests share."""

from hypothesis import settings

# A machine that is shared and slow is no failure of a property.
settings.register_profile("icapd", deadline=None)
settings.load_profile("icapd")
