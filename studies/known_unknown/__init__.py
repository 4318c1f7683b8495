"""Are known facts fitted before unknown ones, and does fitting unknown ones cost what the model knew?"""
