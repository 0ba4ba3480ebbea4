print('wan22')
