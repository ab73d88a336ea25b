
die "no attack $name" unless $attack{$name};
$| = 1;
$attack{$name}->();
