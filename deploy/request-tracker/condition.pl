# When Request Tracker tells the classifier of a ticket: when it comes, and when what the classifier writes, or its status, changes.
return 0 unless $self->TicketObj->Type eq 'ticket';
my $transaction = $self->TransactionObj;
my $type        = $transaction->Type;
return 1 if $type eq 'Create' || $type eq 'Status' || $type eq 'CustomField';
return $type eq 'Set' && $transaction->Field =~ /^(?:Priority|Queue)$/ ? 1 : 0;
